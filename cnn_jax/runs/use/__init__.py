"""What a trained run is for: images classified, its weights and bits taken elsewhere, a part of it trained again."""
