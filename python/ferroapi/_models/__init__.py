"""Stands for pydantic's validators and serializers where what they do is known beforehand, from their core schemas."""
