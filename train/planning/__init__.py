"""What a recipe would take, counted from shapes; `train.estimate` puts it together."""
