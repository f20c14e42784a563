"""What a trained model sees, and what its parts are worth: scores, controls and studies. Nothing here draws."""
