package main

import "fmt"

func (a *admin) upgrade(args []string) error {
	switch args[0] {
	case "query":
		done, err := a.c.UpgradeFinalized(a.ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out, map[bool]string{true: "Upgrade finalized", false: "Upgrade not finalized"}[done])
		return nil
	case "finalize":
		return a.finalizeUpgrade(nil)
	}
	return errOnlyUsage
}

// refresh asks the name node to read something again.
func (a *admin) refresh(what, done string) error {
	err := a.c.Refresh(a.ctx, what)
	if err == nil {
		fmt.Fprintln(a.out, done)
	}
	return err
}

func (a *admin) refreshServiceACL([]string) error {
	return a.refresh("refreshServiceAcl", "Refresh service acl successful")
}

func (a *admin) refreshGroups([]string) error {
	return a.refresh("refreshUserToGroupsMappings", "Refresh user to groups mapping successful")
}

func (a *admin) refreshProxies([]string) error {
	return a.refresh("refreshSuperUserGroupsConfiguration", "Refresh super user groups configuration successful")
}

func (a *admin) refreshCallQueue([]string) error {
	return a.refresh("refreshCallQueue", "Refresh call queue successful")
}
