# The package maker of Slicer; there is nothing to pack here.
