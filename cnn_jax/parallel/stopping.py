"""The signals after which a training is saved and ends. Imports no JAX: the launcher passes them on."""

import signal

# A scheduler's, Ctrl-C, a closed terminal's, Slurm's warning before it takes the node back.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
