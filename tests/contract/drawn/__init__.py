"""Applications and requests as data, and the way from data to a running application and what it answers."""

from .build import Built
from .descriptions import Application, Dependence, Function, Operation, Outcome, Parameter, Request, Special
from .middleware import PassThrough
from .serve import run
