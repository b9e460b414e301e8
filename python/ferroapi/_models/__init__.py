"""Stands for pydantic's validators and serializers where what they do is known beforehand, from their core schemas."""

from ferroapi._engine import stand_ins


def install() -> None:
    """Let the engine ask what is known of core schemas from now on."""
    from ferroapi._models.model_serializer import model_serializer
    from ferroapi._models.scalar import scalar_of
    from ferroapi._models.silent import is_validated_silently

    stand_ins.scalar_of = scalar_of
    stand_ins.model_serializer = model_serializer
    stand_ins.is_validated_silently = is_validated_silently
