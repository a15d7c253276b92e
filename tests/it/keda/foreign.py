"""Every call of the port, by gRPC's own Python client, with messages that reflection describes.

Arguments: the port's address, and scalerMetadata as JSON. Prints what was answered, as JSON; a line "open" when the
streams are open, and goes on when a line comes in.
"""

import json
import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "externalscaler.ExternalScaler"
address, metadata = sys.argv[1], json.loads(sys.argv[2])
channel = grpc.insecure_channel(address)

database = ProtoReflectionDescriptorDatabase(channel)
pool = descriptor_pool.DescriptorPool(database)
described = pool.FindServiceByName(SERVICE)


def message(kind, /, **fields):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("externalscaler." + kind))(**fields)


def call(method, request):
    stub = channel.unary_stream if "Stream" in method else channel.unary_unary
    answer = message_factory.GetMessageClass(described.methods_by_name[method].output_type)
    return stub(
        f"/{SERVICE}/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )(request, timeout=30)


def services(version):
    """The names that a version of reflection lists; both have the same messages."""
    stub = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    answer = next(iter(stub(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))))
    return sorted(service.name for service in answer.list_services_response.service)


def code(method, request):
    try:
        call(method, request)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


reference = message("ScaledObjectRef", name="orders", namespace="orders", scalerMetadata=metadata)
spec = call("GetMetricSpec", reference).metricSpecs
values = call("GetMetrics", message("GetMetricsRequest", scaledObjectRef=reference, metricName=spec[0].metricName)).metricValues
health = health_pb2_grpc.HealthStub(channel)
watched = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
activity = call("StreamIsActive", reference)
specs = call("StreamMetricSpec", reference)
answers = {
    "methods": sorted(described.methods_by_name),
    "services": {version: services(version) for version in ("v1", "v1alpha")},
    "specs": [[one.metricName, one.targetSize, one.targetSizeFloat] for one in spec],
    "values": [[one.metricName, one.metricValue, one.metricValueFloat] for one in values],
    "active": call("IsActive", reference).result,
    "wrong": code("IsActive", message("ScaledObjectRef")),
    "health": [
        health.Check(health_pb2.HealthCheckRequest(service=name)).status for name in ("", SERVICE)
    ],
    "watched": [next(watched).status],
    "streamed": [next(activity).result, next(specs).metricSpecs[0].metricName],
}
print("open", flush=True)
sys.stdin.readline()
# The end of the program on the other side: every stream has to end well.
answers["watched"] += [status.status for status in watched]
answers["left"] = [len(list(activity)), len(list(specs))]
answers["ended"] = [activity.code().name, specs.code().name]
print(json.dumps(answers))
