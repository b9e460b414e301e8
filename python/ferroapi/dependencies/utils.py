"""FastAPI's names for reading, solving and describing dependencies, under the module where packages import them.

Only re-exports: the work is done in `_signature`, `_analyze`, `_multipart`, `_field`, `_values`, `_body`, `_body_field`
and in `_engine.reference.solve`. Private names are in `_imported`.
"""

from typing import TYPE_CHECKING

from ferroapi._compat import ModelField as ModelField
from ferroapi._compat import Undefined as Undefined
from ferroapi._compat import evaluate_forwardref as evaluate_forwardref
from ferroapi._compat import get_cached_model_fields as get_cached_model_fields
from ferroapi._compat import get_missing_field_error as get_missing_field_error
from ferroapi._compat import is_scalar_field as is_scalar_field
from ferroapi._compat import lenient_issubclass as lenient_issubclass
from ferroapi._compat import value_is_sequence as value_is_sequence
from ferroapi._engine.reference.solve import SolvedDependency as SolvedDependency
from ferroapi._engine.reference.solve import solve_dependencies as solve_dependencies
from ferroapi._imported import imported_names
from ferroapi.background import BackgroundTasks as BackgroundTasks
from ferroapi.concurrency import asynccontextmanager as asynccontextmanager
from ferroapi.concurrency import contextmanager_in_threadpool as contextmanager_in_threadpool
from ferroapi.dependencies._analyze import ParamDetails as ParamDetails
from ferroapi.dependencies._analyze import add_non_field_param_to_dependency as add_non_field_param_to_dependency
from ferroapi.dependencies._analyze import add_param_to_fields as add_param_to_fields
from ferroapi.dependencies._analyze import analyze_param as analyze_param
from ferroapi.dependencies._analyze import get_dependant as get_dependant
from ferroapi.dependencies._analyze import get_parameterless_sub_dependant as get_parameterless_sub_dependant
from ferroapi.dependencies._body import request_body_to_args as request_body_to_args
from ferroapi.dependencies._field import get_flat_params as get_flat_params
from ferroapi.dependencies._field import get_validation_alias as get_validation_alias
from ferroapi.dependencies._multipart import ensure_multipart_is_installed as ensure_multipart_is_installed
from ferroapi.dependencies._multipart import multipart_incorrect_install_error as multipart_incorrect_install_error
from ferroapi.dependencies._multipart import multipart_not_installed_error as multipart_not_installed_error
from ferroapi.dependencies._signature import get_stream_item_type as get_stream_item_type
from ferroapi.dependencies._signature import get_typed_annotation as get_typed_annotation
from ferroapi.dependencies._signature import get_typed_return_annotation as get_typed_return_annotation
from ferroapi.dependencies._signature import get_typed_signature as get_typed_signature
from ferroapi.dependencies._values import request_params_to_args as request_params_to_args
from ferroapi.dependencies.models import Dependant as Dependant
from ferroapi.exceptions import DependencyScopeError as DependencyScopeError
from ferroapi.security.oauth2 import SecurityScopes as SecurityScopes
from ferroapi.utils import create_model_field as create_model_field
from ferroapi.utils import get_path_param_names as get_path_param_names

if not TYPE_CHECKING:
    __getattr__ = imported_names(__name__)
