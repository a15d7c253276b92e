// etcd's own main package belongs to a module that cannot be required from outside: this is the same line.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
