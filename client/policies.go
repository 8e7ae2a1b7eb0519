package client

import (
	"context"

	"redoubt/dfs"
	"redoubt/wire/hdfspb"
)

// StoragePolicies lists the storage policies that the name node knows.
func (c *Client) StoragePolicies(ctx context.Context) ([]dfs.Policy, error) {
	var resp hdfspb.GetStoragePoliciesResponse
	if err := c.names.call(ctx, "getStoragePolicies", new(hdfspb.Empty), &resp); err != nil {
		return nil, err
	}
	types := func(t *hdfspb.StorageTypes) (out []dfs.StorageType) {
		for _, typ := range t.GetStorageTypes() {
			out = append(out, dfs.StorageType(typ))
		}
		return out
	}
	out := make([]dfs.Policy, len(resp.Policies))
	for i, p := range resp.Policies {
		out[i] = dfs.Policy{
			ID: uint8(p.GetPolicyId()), Name: p.GetName(), Creation: types(p.CreationPolicy),
			CreationFallback: types(p.CreationFallbackPolicy), ReplicationFallback: types(p.ReplicationFallbackPolicy),
		}
	}
	return out, nil
}

// UnsetStoragePolicy makes a file or directory take its policy from above again.
func (c *Client) UnsetStoragePolicy(ctx context.Context, path string) error {
	return c.names.call(ctx, "unsetStoragePolicy", &hdfspb.PathRequest{Src: &path}, nil)
}

// SatisfyStoragePolicy asks for the blocks at and below path to be kept as their present policy
// says. It returns when that has been asked for; the work itself goes on in the background.
func (c *Client) SatisfyStoragePolicy(ctx context.Context, path string) error {
	return c.names.call(ctx, "satisfyStoragePolicy", &hdfspb.PathRequest{Src: &path}, nil)
}

// Groups lists the groups of a user, as the name node sees them.
func (c *Client) Groups(ctx context.Context, user string) ([]string, error) {
	var resp hdfspb.GetGroupsForUserResponse
	err := c.names.callProtocol(ctx, hdfspb.GetUserMappingsProtocol, "getGroupsForUser", &hdfspb.GetGroupsForUserRequest{User: &user}, &resp)
	return resp.Groups, err
}
