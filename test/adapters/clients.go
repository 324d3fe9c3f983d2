// Sends a form with the standard library: go run clients.go URL FILE FIELDS, the fields as JSON of pairs.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	var fields [][2]string
	check(json.Unmarshal([]byte(os.Args[3]), &fields))
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, field := range fields {
		check(form.WriteField(field[0], field[1]))
	}
	part, err := form.CreateFormFile("file", filepath.Base(os.Args[2]))
	check(err)
	file, err := os.Open(os.Args[2])
	check(err)
	_, err = io.Copy(part, file)
	check(err)
	check(form.Close())
	response, err := http.Post(os.Args[1], form.FormDataContentType(), &body)
	check(err)
	if response.StatusCode != http.StatusOK {
		log.Fatal(response.Status)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
