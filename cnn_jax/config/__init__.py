"""The whole experiment as frozen dataclasses: what a run is, its identity and its differences.

Nothing here imports JAX: the command line builds its flags from it.
"""

from cnn_jax.config.experiment import ExperimentFile as ExperimentFile
from cnn_jax.config.experiment import executed as executed
from cnn_jax.config.experiment import load_experiment as load_experiment
from cnn_jax.config.experiment import neighbours as neighbours
from cnn_jax.config.experiment import stored_code as stored_code
from cnn_jax.config.flat import ConfigError as ConfigError
from cnn_jax.config.flat import check_types as check_types
from cnn_jax.config.flat import difference as difference
from cnn_jax.config.flat import flatten as flatten
from cnn_jax.config.flat import from_flat as from_flat
from cnn_jax.config.flat import named as named
from cnn_jax.config.identity import from_stored as from_stored
from cnn_jax.config.identity import identity as identity
from cnn_jax.config.identity import key_differences as key_differences
from cnn_jax.config.other_data import OtherData as OtherData
from cnn_jax.config.parts import named_parts as named_parts
from cnn_jax.config.parts import network_name as network_name
from cnn_jax.config.parts import without_arguments as without_arguments
from cnn_jax.config.sections import Config as Config
from cnn_jax.config.sections import DataConfig as DataConfig
from cnn_jax.config.sections import ModelConfig as ModelConfig
from cnn_jax.config.sections import OptimConfig as OptimConfig
from cnn_jax.config.sections import ParallelConfig as ParallelConfig
from cnn_jax.config.sections import SeedsConfig as SeedsConfig
from cnn_jax.config.sections import TrainConfig as TrainConfig
from cnn_jax.config.version_0_1 import identity_0_1 as identity_0_1
from cnn_jax.names import nearest as nearest
