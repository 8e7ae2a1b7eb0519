package hadoopconf

import (
	"os"
	"os/user"
	"strconv"
)

// User is who a node runs as, and so its superuser: HADOOP_USER_NAME, else the process's
// user.
func User(lookupEnv func(string) (string, bool)) string {
	if name, _ := lookupEnv("HADOOP_USER_NAME"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}
