// The least that a KEDA scaler over grpc-go can be: it answers a constant. `benches/keda.rs` measures it beside ours.
//
// `scaler/` is made from proto/externalscaler.proto:
//
//	protoc -I ../../proto --go_out=scaler --go_opt=paths=source_relative --go_opt=Mexternalscaler.proto=slipway/bench/keda-grpc-go/scaler \
//	  --go-grpc_out=scaler --go-grpc_opt=paths=source_relative --go-grpc_opt=Mexternalscaler.proto=slipway/bench/keda-grpc-go/scaler externalscaler.proto
package main

import (
	"context"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"

	"slipway/bench/keda-grpc-go/scaler"
)

type constant struct {
	scaler.UnimplementedExternalScalerServer
}

func (constant) IsActive(context.Context, *scaler.ScaledObjectRef) (*scaler.IsActiveResponse, error) {
	return &scaler.IsActiveResponse{Result: true}, nil
}

func (constant) GetMetricSpec(context.Context, *scaler.ScaledObjectRef) (*scaler.GetMetricSpecResponse, error) {
	spec := &scaler.MetricSpec{MetricName: "constant", TargetSize: 5, TargetSizeFloat: 5}
	return &scaler.GetMetricSpecResponse{MetricSpecs: []*scaler.MetricSpec{spec}}, nil
}

func (constant) GetMetrics(_ context.Context, request *scaler.GetMetricsRequest) (*scaler.GetMetricsResponse, error) {
	value := &scaler.MetricValue{MetricName: request.MetricName, MetricValue: 7, MetricValueFloat: 7}
	return &scaler.GetMetricsResponse{MetricValues: []*scaler.MetricValue{value}}, nil
}

func (constant) StreamIsActive(_ *scaler.ScaledObjectRef, stream grpc.ServerStreamingServer[scaler.IsActiveResponse]) error {
	if err := stream.Send(&scaler.IsActiveResponse{Result: true}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	scaler.RegisterExternalScalerServer(server, constant{})
	log.Fatal(server.Serve(listener))
}
