// CustomResourceDefinitions of others, for whose objects the chart has templates. Nothing is built of these modules.
module slipway/test-env/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.3
)
