"""What the tests of RobustDIRTrain's panel share."""

MODULE = "RobustDIRTrain"
