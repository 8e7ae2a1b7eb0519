package hadoopconf

import (
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
)

// User is who a node runs as, and so its superuser: HADOOP_USER_NAME, else the process's
// user.
func User(lookupEnv func(string) (string, bool)) string {
	if name, _ := lookupEnv("HADOOP_USER_NAME"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return bareName(u.Username)
	}
	return strconv.Itoa(os.Getuid())
}

// bareName leaves out the domain that Windows puts before a user's name, as Java does.
func bareName(name string) string {
	if runtime.GOOS != "windows" {
		return name
	}
	return name[strings.LastIndexByte(name, '\\')+1:]
}
