// A peer in Go, with mangos:
//
//	go mod init example && go get go.nanomsg.org/mangos/v3
//	node examples/two-nodes/node.mjs 0 tcp://127.0.0.1:45454
//	go run peer.go 1 tcp://127.0.0.1:45454
//
// The tests do not run this one.
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"go.nanomsg.org/mangos/v3"
	"go.nanomsg.org/mangos/v3/protocol/pair"
	_ "go.nanomsg.org/mangos/v3/transport/tcp"
)

func main() {
	node, url := os.Args[1], os.Args[2]
	sock, err := pair.NewSocket()
	if err != nil {
		log.Fatal(err)
	}
	defer sock.Close()
	if err := sock.SetOption(mangos.OptionRecvDeadline, 10*time.Second); err != nil {
		log.Fatal(err)
	}
	if err := sock.Dial(url); err != nil {
		log.Fatal(err)
	}
	for i := 0; i < 3; i++ {
		if err := sock.Send([]byte(fmt.Sprintf("message %d from node %s", i, node))); err != nil {
			log.Fatal(err)
		}
		message, err := sock.Recv()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("node %s received %s\n", node, message)
		time.Sleep(100 * time.Millisecond)
	}
}
