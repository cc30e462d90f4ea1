"""What a person sees of a training and can do to it: progress, pictures, a profile, signals and an end."""
