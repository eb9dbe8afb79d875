"""What training makes small: sums of losses over rows of hidden states, gradients included."""
