// Reads a static log by HTTP and proves it with the library of Go's checksum database. See audit_log.py.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var given struct {
	Prefix, Token, Key, Older string
	Spoil                     string // a path whose last byte is altered on the way
}

func get(path string) []byte {
	request, _ := http.NewRequest("GET", given.Prefix+path, nil)
	request.Header.Set("Authorization", "Bearer "+given.Token)
	answer, err := http.DefaultClient.Do(request)
	must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(err)
	if answer.StatusCode != 200 {
		must(fmt.Errorf("%s: %d %s", path, answer.StatusCode, body))
	}
	if given.Spoil != "" && path == given.Spoil {
		body[len(body)-1] ^= 1
	}
	return body
}

func must(err error) {
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(3)
	}
}

type tiles struct{}

func (tiles) Height() int                     { return 8 }
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := [][]byte{}
	for _, one := range wanted {
		found = append(found, get(strings.Replace(one.Path(), "tile/8/", "/tile/", 1)))
	}
	return found, nil
}

func tree(text []byte, key string) tlog.Tree {
	verifier, err := note.NewVerifier(key)
	must(err)
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err)
	var origin, root string
	var size int64
	_, err = fmt.Sscanf(opened.Text, "%s\n%d\n%s\n", &origin, &size, &root)
	must(err)
	hash, err := tlog.ParseHash(root)
	must(err)
	return tlog.Tree{N: size, Hash: hash}
}

func main() {
	must(json.Unmarshal([]byte(os.Getenv("GIVEN")), &given))
	now := tree(get("/checkpoint"), given.Key)
	reader := tlog.TileHashReader(now, tiles{})
	indexes := []int64{}
	for n := int64(0); n < now.N; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, n))
	}
	hashes, err := reader.ReadHashes(indexes)
	must(err)
	for n := int64(0); n < now.N; {
		path := tlog.Tile{H: 8, L: -1, N: n / 256, W: int(min(256, now.N-n))}.Path()
		content := get(strings.Replace(path, "tile/8/data/", "/tile/entries/", 1))
		for reading := bytes.NewReader(content); reading.Len() > 0; n++ {
			var length uint16
			must(binary.Read(reading, binary.BigEndian, &length))
			entry := make([]byte, length)
			_, err := io.ReadFull(reading, entry)
			must(err)
			if tlog.RecordHash(entry) != hashes[n] {
				must(fmt.Errorf("entry %d is not the one in the tree", n))
			}
			if n%100 != 0 {
				continue
			}
			proof, err := tlog.ProveRecord(now.N, n, reader)
			must(err)
			must(tlog.CheckRecord(proof, now.N, now.Hash, n, hashes[n]))
		}
	}
	if given.Older != "" {
		before := tree([]byte(given.Older), given.Key)
		proof, err := tlog.ProveTree(now.N, before.N, reader)
		must(err)
		must(tlog.CheckTree(proof, now.N, now.Hash, before.N, before.Hash))
	}
	fmt.Println("proven", now.N)
}
