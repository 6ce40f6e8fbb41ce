# What the matrix installs beyond what all suites use: further npm packages, a Python environment for each requirements
# file, and two programs on the Go SDK. A suite sources it after ../lib.sh.

MATRIX=$SUITES/support/matrix

# Sets MCPO_MATRIX_NPM and MODULES2.
matrix_npm() {
    MCPO_MATRIX_NPM=$CACHE/matrix-npm-$(sha256sum "$MATRIX/package.json" | cut -c1-12)
    export MCPO_MATRIX_NPM
    once "$MCPO_MATRIX_NPM" matrix_npm_install
}

matrix_npm_install() {
    step "install the npm packages of the matrix"
    mkdir -p "$1"
    cp "$MATRIX/package.json" "$1/"
    (cd "$1" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --no-audit --no-fund --loglevel=error) || die "npm install failed"
}

# matrix_python NAME: prints the folder of programs of the environment that requirements/NAME.txt describes.
matrix_python() {
    REQUIREMENTS=$MATRIX/requirements/$1.txt
    local venv
    venv=$CACHE/matrix-$1-$(sha256sum "$REQUIREMENTS" | cut -c1-12)
    once "$venv" matrix_python_install >&2
    echo "$venv/bin"
}

matrix_python_install() {
    step "install $(tr '\n' ' ' <"$REQUIREMENTS")"
    python3 -m venv "$1" || die "python3 with venv is needed"
    "$1/bin/pip" install --quiet --disable-pip-version-check -r "$REQUIREMENTS" || die "pip failed"
}

# Sets GO_CLIENT and GO_SERVER.
matrix_go() {
    command -v go >/dev/null || die "go is needed"
    local folder
    folder=$CACHE/matrix-go-$(cat "$MATRIX"/clients/go/{main.go,go.mod} | sha256sum | cut -c1-12)
    once "$folder" matrix_go_build
    GO_CLIENT=$folder/client
    GO_SERVER=$folder/everything
}

matrix_go_build() {
    step "build the programs on the Go SDK"
    mkdir -p "$1"
    (cd "$MATRIX/clients/go" && go build -o "$1/client" . &&
        go build -o "$1/everything" github.com/modelcontextprotocol/go-sdk/examples/server/everything) || die "go build failed"
}
