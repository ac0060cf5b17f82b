from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbeddingCodec(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EMBEDDING_NONE: _ClassVar[EmbeddingCodec]
    EMBEDDING_F32: _ClassVar[EmbeddingCodec]
    EMBEDDING_F16: _ClassVar[EmbeddingCodec]
    EMBEDDING_I8: _ClassVar[EmbeddingCodec]
    EMBEDDING_PCA_I8: _ClassVar[EmbeddingCodec]
EMBEDDING_NONE: EmbeddingCodec
EMBEDDING_F32: EmbeddingCodec
EMBEDDING_F16: EmbeddingCodec
EMBEDDING_I8: EmbeddingCodec
EMBEDDING_PCA_I8: EmbeddingCodec

class Inferences(_message.Message):
    __slots__ = ("schema", "stream", "first_seq", "count", "device_time", "model", "model_version", "site", "top_k", "embedding_codec", "embedding_dims", "device_time_delta", "class_ids", "scores", "entropy", "embedding", "embedding_scale", "sample_digest", "sample_bytes", "latency_us", "crc")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    DEVICE_TIME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_CODEC_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_DIMS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_TIME_DELTA_FIELD_NUMBER: _ClassVar[int]
    CLASS_IDS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SCALE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LATENCY_US_FIELD_NUMBER: _ClassVar[int]
    CRC_FIELD_NUMBER: _ClassVar[int]
    schema: int
    stream: bytes
    first_seq: int
    count: int
    device_time: int
    model: str
    model_version: int
    site: str
    top_k: int
    embedding_codec: EmbeddingCodec
    embedding_dims: int
    device_time_delta: bytes
    class_ids: bytes
    scores: bytes
    entropy: bytes
    embedding: bytes
    embedding_scale: bytes
    sample_digest: bytes
    sample_bytes: bytes
    latency_us: bytes
    crc: int
    def __init__(self, schema: _Optional[int] = ..., stream: _Optional[bytes] = ..., first_seq: _Optional[int] = ..., count: _Optional[int] = ..., device_time: _Optional[int] = ..., model: _Optional[str] = ..., model_version: _Optional[int] = ..., site: _Optional[str] = ..., top_k: _Optional[int] = ..., embedding_codec: _Optional[_Union[EmbeddingCodec, str]] = ..., embedding_dims: _Optional[int] = ..., device_time_delta: _Optional[bytes] = ..., class_ids: _Optional[bytes] = ..., scores: _Optional[bytes] = ..., entropy: _Optional[bytes] = ..., embedding: _Optional[bytes] = ..., embedding_scale: _Optional[bytes] = ..., sample_digest: _Optional[bytes] = ..., sample_bytes: _Optional[bytes] = ..., latency_us: _Optional[bytes] = ..., crc: _Optional[int] = ...) -> None: ...

class Gaps(_message.Message):
    __slots__ = ("schema", "stream", "gaps", "crc")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    CRC_FIELD_NUMBER: _ClassVar[int]
    schema: int
    stream: bytes
    gaps: _containers.RepeatedCompositeFieldContainer[Gap]
    crc: int
    def __init__(self, schema: _Optional[int] = ..., stream: _Optional[bytes] = ..., gaps: _Optional[_Iterable[_Union[Gap, _Mapping]]] = ..., crc: _Optional[int] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("first_seq", "last_seq", "reason", "device_time")
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEVICE_TIME_FIELD_NUMBER: _ClassVar[int]
    first_seq: int
    last_seq: int
    reason: str
    device_time: int
    def __init__(self, first_seq: _Optional[int] = ..., last_seq: _Optional[int] = ..., reason: _Optional[str] = ..., device_time: _Optional[int] = ...) -> None: ...

class Sample(_message.Message):
    __slots__ = ("schema", "stream", "seq", "request_id", "outcome", "content_type", "sample", "crc")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    CRC_FIELD_NUMBER: _ClassVar[int]
    schema: int
    stream: bytes
    seq: int
    request_id: bytes
    outcome: str
    content_type: str
    sample: bytes
    crc: int
    def __init__(self, schema: _Optional[int] = ..., stream: _Optional[bytes] = ..., seq: _Optional[int] = ..., request_id: _Optional[bytes] = ..., outcome: _Optional[str] = ..., content_type: _Optional[str] = ..., sample: _Optional[bytes] = ..., crc: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("schema", "stream", "next_seq", "device_time", "site", "hardware", "agent", "model", "model_version", "attributes", "crc")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQ_FIELD_NUMBER: _ClassVar[int]
    DEVICE_TIME_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    HARDWARE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CRC_FIELD_NUMBER: _ClassVar[int]
    schema: int
    stream: bytes
    next_seq: int
    device_time: int
    site: str
    hardware: str
    agent: str
    model: str
    model_version: int
    attributes: _containers.ScalarMap[str, str]
    crc: int
    def __init__(self, schema: _Optional[int] = ..., stream: _Optional[bytes] = ..., next_seq: _Optional[int] = ..., device_time: _Optional[int] = ..., site: _Optional[str] = ..., hardware: _Optional[str] = ..., agent: _Optional[str] = ..., model: _Optional[str] = ..., model_version: _Optional[int] = ..., attributes: _Optional[_Mapping[str, str]] = ..., crc: _Optional[int] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("schema", "stream", "next_seq", "device_time", "outbox_records", "outbox_bytes", "ring_samples", "ring_bytes", "refused_inferences", "unrouted_messages", "outbox_restores", "crc")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQ_FIELD_NUMBER: _ClassVar[int]
    DEVICE_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_RECORDS_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_BYTES_FIELD_NUMBER: _ClassVar[int]
    RING_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    RING_BYTES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_INFERENCES_FIELD_NUMBER: _ClassVar[int]
    UNROUTED_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_RESTORES_FIELD_NUMBER: _ClassVar[int]
    CRC_FIELD_NUMBER: _ClassVar[int]
    schema: int
    stream: bytes
    next_seq: int
    device_time: int
    outbox_records: int
    outbox_bytes: int
    ring_samples: int
    ring_bytes: int
    refused_inferences: int
    unrouted_messages: int
    outbox_restores: int
    crc: int
    def __init__(self, schema: _Optional[int] = ..., stream: _Optional[bytes] = ..., next_seq: _Optional[int] = ..., device_time: _Optional[int] = ..., outbox_records: _Optional[int] = ..., outbox_bytes: _Optional[int] = ..., ring_samples: _Optional[int] = ..., ring_bytes: _Optional[int] = ..., refused_inferences: _Optional[int] = ..., unrouted_messages: _Optional[int] = ..., outbox_restores: _Optional[int] = ..., crc: _Optional[int] = ...) -> None: ...

class Feedback(_message.Message):
    __slots__ = ("schema", "stream", "seq", "kind", "class_id", "device_time", "crc")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CLASS_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_TIME_FIELD_NUMBER: _ClassVar[int]
    CRC_FIELD_NUMBER: _ClassVar[int]
    schema: int
    stream: bytes
    seq: int
    kind: str
    class_id: int
    device_time: int
    crc: int
    def __init__(self, schema: _Optional[int] = ..., stream: _Optional[bytes] = ..., seq: _Optional[int] = ..., kind: _Optional[str] = ..., class_id: _Optional[int] = ..., device_time: _Optional[int] = ..., crc: _Optional[int] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("schema", "stream", "through", "holes", "ahead", "crc")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    HOLES_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    CRC_FIELD_NUMBER: _ClassVar[int]
    schema: int
    stream: bytes
    through: int
    holes: _containers.RepeatedCompositeFieldContainer[Hole]
    ahead: int
    crc: int
    def __init__(self, schema: _Optional[int] = ..., stream: _Optional[bytes] = ..., through: _Optional[int] = ..., holes: _Optional[_Iterable[_Union[Hole, _Mapping]]] = ..., ahead: _Optional[int] = ..., crc: _Optional[int] = ...) -> None: ...

class Hole(_message.Message):
    __slots__ = ("first_seq", "last_seq")
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    first_seq: int
    last_seq: int
    def __init__(self, first_seq: _Optional[int] = ..., last_seq: _Optional[int] = ...) -> None: ...

class Requests(_message.Message):
    __slots__ = ("schema", "requests", "crc")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    CRC_FIELD_NUMBER: _ClassVar[int]
    schema: int
    requests: _containers.RepeatedCompositeFieldContainer[Request]
    crc: int
    def __init__(self, schema: _Optional[int] = ..., requests: _Optional[_Iterable[_Union[Request, _Mapping]]] = ..., crc: _Optional[int] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("request_id", "stream", "seq", "sample_digest", "max_bytes")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    request_id: bytes
    stream: bytes
    seq: int
    sample_digest: bytes
    max_bytes: int
    def __init__(self, request_id: _Optional[bytes] = ..., stream: _Optional[bytes] = ..., seq: _Optional[int] = ..., sample_digest: _Optional[bytes] = ..., max_bytes: _Optional[int] = ...) -> None: ...
