from .losses import sigmoid_cross_entropy as sigmoid_cross_entropy
from .losses import softmax_cross_entropy as softmax_cross_entropy
from .metrics import in_top_k as in_top_k
from .state import TrainState as TrainState
