from .conventions import InputConvention as InputConvention
from .conventions import input_convention as input_convention
from .conventions import stated_input as stated_input
from .digest import weights_digest as weights_digest
from .fetch import fetch_weights as fetch_weights
from .files import WeightsError as WeightsError
from .read_write import load_weights as load_weights
from .read_write import save_weights as save_weights
