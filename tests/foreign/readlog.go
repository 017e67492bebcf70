// A reader of logs that shares no line with Hetao: Debian's golang.org/x/mod alone.
//
//	readlog FOLDER LOG-VKEY WITNESS-VKEY [PROOF ENTRY]...
//
// It opens the exported log in FOLDER, checks the signatures of log and witness, proves
// every record and every older tree from the tiles, and verifies each .tlog-proof.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	log, err := note.NewVerifier(args[1])
	if err != nil {
		return err
	}
	witness, err := newCosigner(args[2])
	if err != nil {
		return err
	}
	known := note.VerifierList(log, witness)
	text, err := os.ReadFile(filepath.Join(args[0], "checkpoint"))
	if err != nil {
		return err
	}
	tree, signatures, err := open(text, known)
	if err != nil {
		return err
	}
	if err := readTiles(args[0], tree); err != nil {
		return err
	}
	fmt.Printf("size %d, %d signatures, every record and older tree proved\n", tree.N, signatures)
	for files := args[3:]; len(files) > 1; files = files[2:] {
		signatures, err := verifyProof(files[0], files[1], known)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(files[0]), err)
		}
		fmt.Printf("proof holds, %d signatures\n", signatures)
	}
	return nil
}

// open verifies a note and returns its tree, and how many of the known keys signed it.
func open(text []byte, known note.Verifiers) (tlog.Tree, int, error) {
	opened, err := note.Open(text, known)
	if err != nil {
		return tlog.Tree{}, 0, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 {
		return tlog.Tree{}, 0, errors.New("no checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, 0, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, len(opened.Sigs), err
}

func readTiles(folder string, tree tlog.Tree) error {
	hashes := tlog.TileHashReader(tree, tiles{folder})
	for i := int64(0); i < tree.N; i++ {
		proof, err := tlog.ProveRecord(tree.N, i, hashes)
		if err != nil {
			return err
		}
		entry, err := readEntry(folder, tree.N, i)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, i, tlog.RecordHash(entry)); err != nil {
			return err
		}
	}
	for size := int64(1); size <= tree.N; size++ {
		root, err := tlog.TreeHash(size, hashes)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(tree.N, size, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, size, root); err != nil {
			return err
		}
	}
	return nil
}

func verifyProof(file, entryFile string, known note.Verifiers) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	entry, err := os.ReadFile(entryFile)
	if err != nil {
		return 0, err
	}
	head, checkpoint, found := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || lines[0] != "c2sp.org/tlog-proof@v1" {
		return 0, errors.New("no proof")
	}
	lines = lines[1:]
	if strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	if err != nil {
		return 0, err
	}
	var path tlog.RecordProof
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return 0, err
		}
		path = append(path, hash)
	}
	tree, signatures, err := open([]byte(checkpoint), known)
	if err != nil {
		return 0, err
	}
	return signatures, tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

// tiles reads the files of a log as C2SP tlog-tiles lays them out.
type tiles struct{ folder string }

func (t tiles) Height() int                         { return 8 }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t tiles) ReadTiles(all []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range all {
		path := fmt.Sprintf("tile/%d/%s", tile.L, number(tile.N))
		if tile.W != 256 {
			path += fmt.Sprintf(".p/%d", tile.W)
		}
		data, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func number(n int64) string {
	text := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		text = fmt.Sprintf("x%03d/%s", n%1000, text)
	}
	return text
}

func readEntry(folder string, size, i int64) ([]byte, error) {
	path := "tile/entries/" + number(i/256)
	if (i/256+1)*256 > size {
		path += fmt.Sprintf(".p/%d", size%256)
	}
	data, err := os.ReadFile(filepath.Join(folder, path))
	if err != nil {
		return nil, err
	}
	for k := i % 256; k > 0; k-- {
		data = data[2+int(binary.BigEndian.Uint16(data)):]
	}
	return data[2 : 2+int(binary.BigEndian.Uint16(data))], nil
}

// cosigner verifies cosignature/v1 lines; x/mod knows plain Ed25519 only.
type cosigner struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.id }
func (c cosigner) Verify(text, signature []byte) bool {
	if len(signature) != 72 {
		return false
	}
	when := binary.BigEndian.Uint64(signature)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", when, text)
	return ed25519.Verify(c.key, []byte(signed), signature[8:])
}

func newCosigner(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	id, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, errors.New("no cosigner's key")
	}
	return cosigner{parts[0], uint32(id), key[1:]}, nil
}
