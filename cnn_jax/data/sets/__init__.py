"""What each data set is and where it is read from: the catalogue, the official archives, folders of image files."""
