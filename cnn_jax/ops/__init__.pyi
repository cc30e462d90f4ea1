from .batch_norm import batch_norm as batch_norm
from .columns import im2col as im2col
from .conv import conv2d as conv2d
from .implementation import implementation as implementation
from .pool import adaptive_avg_pool as adaptive_avg_pool
from .pool import avg_pool as avg_pool
from .pool import max_pool as max_pool
from .response_norm import local_response_norm as local_response_norm
