from .evaluation import evaluate as evaluate
from .exchange import export_weights as export_weights
from .exchange import import_weights as import_weights
from .loop import Result as Result
from .loop import train as train
from .prediction import predict as predict
from .run import diff_runs as diff_runs
from .state import TrainState as TrainState
