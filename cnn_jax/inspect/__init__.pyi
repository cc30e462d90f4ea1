from .cost import Layer as Layer
from .cost import layers as layers
from .overview import Summary as Summary
from .overview import summary as summary
from .tables import comparison_table as comparison_table
from .tables import layer_table as layer_table
from .variance import plot_variance as plot_variance
from .variance import variance_through_depth as variance_through_depth
