"""What a deployment may change, read from the environment as `SERVICE_<NAME>`."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The settings; the defaults suit a laptop, a deployment sets at least `SERVICE_SECRET`."""

    model_config = SettingsConfigDict(env_prefix="service_")

    data: Path = Field(default=Path(__file__).parent.parent / "data", description="Where the database and files live.")
    secret: SecretStr = SecretStr("not a secret: only for trying the example")
    token_lifetime: timedelta = timedelta(hours=1)
    allowed_origins: list[str] = ["http://localhost:5173"]
    largest_file: int = Field(default=1_000_000, description="In bytes.")
    first_username: str = "ada"
    first_password: SecretStr = SecretStr("lovelace")


settings = Settings()
