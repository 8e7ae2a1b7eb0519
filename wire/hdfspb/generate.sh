#!/bin/sh
# Writes the Go code of the .proto files beside it. Needs protoc, protoc-gen-go and
# protoc-gen-go-vtproto in PATH (or in $(go env GOPATH)/bin); run it by `go generate`.
set -eu
cd "$(dirname "$0")"
PATH=$PATH:$(go env GOPATH)/bin
rm -f ./*.pb.go
protoc --proto_path=. \
  --go_out=. --go_opt=paths=source_relative \
  --go-vtproto_out=. --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size \
  ./*.proto
gofmt -w ./*.pb.go
