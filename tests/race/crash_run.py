#!/usr/bin/env python3
"""Kills a real `behalf serve` in the middle of redemptions, again and again, and looks at what it remembers.

Usage: crash_run.py PATH-TO-BEHALF [ROUNDS]

Each round: start the server on the same SQLite file, let clients redeem codes, send SIGKILL at a random moment, start it
again, and hold it to three promises: every token that was handed out is still good; no code buys a second token; the audit
log verifies and tells of every redemption once. Standard library only; everything it makes goes with it.
"""
import base64
import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import urllib.parse

RESOURCE = "https://api.example/planner"
REDIRECT = "https://app.example/cb"
ISSUER = "https://as.example"
PASSWORD = "correct horse battery"
CLIENT_SECRETS = {"app": secrets.token_urlsafe(32), "runtime": secrets.token_urlsafe(32)}
WORKERS = 6

STATE = f"""
[[user]]
id = "u1"
username = "u1"
display_name = "User One"
password_file = "u1.pw"
[[agent]]
id = "a1"
name = "Agent One"
publisher = "Example Agents"
scopes = ["read"]
clients = ["app"]
bearer_actor_tokens = true
[[client]]
id = "app"
name = "App"
secret_file = "app.secret"
redirect_uris = ["{REDIRECT}"]
grant_types = ["authorization_code"]
scopes = ["read"]
[[client]]
id = "runtime"
name = "Runtime"
secret_file = "runtime.secret"
grant_types = ["client_credentials"]
agent = "a1"
scopes = ["read"]
[[resource]]
id = "{RESOURCE}"
name = "Planner"
scopes = [{{ name = "read", title = "Read" }}]
"""


class Server:
    def __init__(self, program, folder):
        self.program, self.folder, self.process, self.port = program, folder, None, 0

    def start(self):
        self.process = subprocess.Popen([self.program, "serve", "--config", self.folder + "/behalf.toml"],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"behalf serves .* port (\d+)", line)
            if found:
                self.port = int(found[1])
                break
            print("server:", line.rstrip())
        else:
            raise SystemExit("the server does not start")
        # Nobody may stop because nobody reads.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def end(self, how):
        if self.process is None:
            return
        self.process.send_signal(how)
        self.process.wait(20)
        self.process = None

    def call(self, method, path, form=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = dict(headers or {})
            body = None
            if form is not None:
                body = urllib.parse.urlencode(form, doseq=True)
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read().decode()
        finally:
            connection.close()

    def token(self, client, path="/token", **form):
        basic = base64.b64encode(f"{client}:{CLIENT_SECRETS[client]}".encode()).decode()
        status, _, body = self.call("POST", path, form, {"Authorization": "Basic " + basic})
        return status, json.loads(body)


class Browser:
    """Signed in as u1, who has allowed the agent before: a code costs one request."""

    def __init__(self, server):
        self.server, self.cookies = server, {}

    def send(self, method, path, form=None):
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        status, headers, body = self.server.call(method, path, form, {"Cookie": cookie} if cookie else {})
        for line in headers.get_all("Set-Cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return status, headers.get("Location", ""), body

    def authorize(self, challenge):
        return self.send("GET", "/authorize?" + urllib.parse.urlencode({
            "response_type": "code", "client_id": "app", "redirect_uri": REDIRECT, "scope": "read", "state": "s",
            "code_challenge": challenge, "code_challenge_method": "S256", "requested_actor": "a1",
            "resource": RESOURCE}))

    def sign_in_and_allow(self):
        _, location, _ = self.authorize(pkce()[1])
        _, _, page = self.send("GET", location)
        fields = dict(re.findall(r'name="(csrf|request)" value="([^"]*)"', page))
        _, location, _ = self.send("POST", "/login", {**fields, "username": "u1", "password": PASSWORD})
        if location.startswith("/consent"):
            _, _, page = self.send("GET", location)
            form = page[page.index('action="/consent"'):]
            fields = dict(re.findall(r'name="(csrf|request)" value="([^"]*)"', form))
            _, location, _ = self.send("POST", "/consent", {**fields, "decision": "allow", "scope": "read"})
        assert "code=" in location, location

    def code(self):
        verifier, challenge = pkce()
        _, location, _ = self.authorize(challenge)
        found = urllib.parse.parse_qs(urllib.parse.urlparse(location).query).get("code")
        return (found[0], verifier) if found else None


def pkce():
    verifier = secrets.token_urlsafe(32)
    return verifier, base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def redeem(server, code, verifier, actor_token):
    return server.token("app", grant_type="authorization_code", code=code, code_verifier=verifier,
                        redirect_uri=REDIRECT, actor_token=actor_token)


def under_load(server, browser, actor_token, seconds):
    """Redeems until the server is killed. Every code that was sent, and the token that came back, if one did."""
    sent, stop = [], threading.Event()

    def work():
        mine = Browser(server)
        mine.cookies = dict(browser.cookies)
        while not stop.is_set():
            try:
                got = mine.code()
                if got is None:
                    continue
                entry = {"code": got[0], "verifier": got[1], "token": None}
                sent.append(entry)
                status, answer = redeem(server, *got, actor_token)
                if status == 200:
                    entry["token"] = answer["access_token"]
            except (OSError, http.client.HTTPException, ValueError):
                return

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        running = [pool.submit(work) for _ in range(WORKERS)]
        stop.wait(seconds)
        server.end(signal.SIGKILL)
        stop.set()
        for each in running:
            each.result()
    return sent


def check_log(path):
    """The chain, computed again; and how often each code was turned into a token."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    previous, redeemed, count = bytes(32), {}, 0
    for sequence, record, digest in database.execute("SELECT sequence, record, hash FROM audit ORDER BY sequence"):
        count += 1
        previous = hashlib.sha256(previous + record.encode()).digest()
        parsed = json.loads(record)
        assert sequence == parsed["seq"] == count and previous.hex() == digest, f"the log breaks at {sequence}"
        if parsed["event"] == "token.authorization_code" and parsed["outcome"] == "allowed":
            redeemed[parsed["parent"]] = redeemed.get(parsed["parent"], 0) + 1
    head = database.execute("SELECT sequence, hash FROM head").fetchone()
    database.close()
    assert head == (count, previous.hex()), "the head is not the end of the log"
    assert all(times == 1 for times in redeemed.values()), "a code was redeemed twice"
    return count, len(redeemed)


def main():
    program = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    folder = tempfile.mkdtemp(prefix="behalf-crash-")
    server = Server(program, folder)
    try:
        for name, text in {"u1.pw": PASSWORD, **{c + ".secret": s for c, s in CLIENT_SECRETS.items()},
                           "state.toml": STATE}.items():
            with open(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                file.write(text)
        subprocess.run([program, "init", folder, "--issuer", ISSUER], check=True, stdout=subprocess.DEVNULL)
        with open(folder + "/behalf.toml", "w") as file:
            file.write(f'issuer = "{ISSUER}"\nkeys = "behalf.keys"\n[listen]\naddress = "127.0.0.1"\nport = 0\n'
                       '[admin]\nsocket = "behalf.sock"\n[store]\nsqlite = "behalf.db"\n[limits]\nfailures = 0\n')
        server.start()
        subprocess.run([program, "apply", folder + "/state.toml", "--config", folder + "/behalf.toml"],
                       check=True, stdout=subprocess.DEVNULL)
        browser = Browser(server)
        browser.sign_in_and_allow()
        acknowledged = unanswered = lost_answers = records = 0
        for number in range(rounds):
            _, actor = server.token("runtime", grant_type="client_credentials", resource=ISSUER)
            seconds = random.uniform(0.15, 0.6)
            sent = under_load(server, browser, actor["access_token"], seconds)
            server.start()
            for entry in sent:
                if entry["token"] is None:
                    continue
                status, answer = server.token("app", "/introspect", token=entry["token"])
                assert status == 200 and answer.get("active") is True, f"an acknowledged token is gone: {answer}"
                acknowledged += 1
            for entry in sent:
                if entry["token"] is None:
                    unanswered += 1
                    # Its first redemption may have been lost with the server: then this is the first one.
                    first, _ = redeem(server, entry["code"], entry["verifier"], actor["access_token"])
                    lost_answers += first != 200
                status, answer = redeem(server, entry["code"], entry["verifier"], actor["access_token"])
                assert status == 400 and answer["error"] == "invalid_grant", f"a code was good twice: {status} {answer}"
            records, redeemed = check_log(folder + "/behalf.db")
            print(f"round {number + 1}: killed after {seconds:.2f} s, {len(sent)} codes sent, "
                  f"{redeemed} redeemed so far, {records} records verify")
            assert redeemed >= acknowledged, "a redemption that was answered is not in the log"
        print(f"{acknowledged} acknowledged, {unanswered} without an answer "
              f"({lost_answers} of them had been committed), {records} records")
        assert acknowledged > 2 * rounds, "too little happened for this to say anything"
        server.end(signal.SIGTERM)
    finally:
        server.end(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
