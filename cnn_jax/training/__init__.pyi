from .state import TrainState as TrainState
