from .models import create_model as create_model
from .models import features as features
from .models import list_models as list_models
from .ops import avg_pool as avg_pool
from .ops import batch_norm as batch_norm
from .ops import conv2d as conv2d
from .ops import im2col as im2col
from .ops import max_pool as max_pool
