package hdfspb_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"redoubt/wire/hdfspb"
)

func TestClientMethods(t *testing.T) {
	methods := hdfspb.ClientMethods()
	require.Len(t, methods, 111, "Hadoop 3.4.3's ClientProtocol")
	for i, m := range methods {
		if i > 0 {
			require.Less(t, methods[i-1].Name, m.Name)
		}
		require.NotNil(t, m.Request())
		require.NotNil(t, m.Response())
	}
}

// A required field that is zero must still be on the wire, and a missing one is seen.
func TestRequiredFields(t *testing.T) {
	m := &hdfspb.BoolResponse{Result: proto.Bool(false)}
	b, err := m.MarshalVT()
	require.NoError(t, err)
	require.Equal(t, []byte{0x08, 0x00}, b)

	_, err = (&hdfspb.BoolResponse{}).MarshalVT()
	require.Error(t, err)
	require.Error(t, new(hdfspb.BoolResponse).UnmarshalVT(nil))
	require.NoError(t, new(hdfspb.Empty).UnmarshalVT(b))
}
