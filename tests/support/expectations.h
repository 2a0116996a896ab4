// What must hold after every answer that leaves through the browser: a refusal that goes back to the client,
// a refusal that must stay here, and the quick way to many codes. JSON refusals have expect_refused in
// test_server.h.
#pragma once

#include <string>

#include "support/test_server.h"

namespace behalf::test {

struct Return {
  std::string redirect_uri = kRedirect;
  std::string state = "state-of-the-client";  // "" where none was sent
};

// Back at the client: this error, the same state, our issuer, no code, no-store, and a denied record with
// this reason.
void expect_sent_back(TestServer& server, const Reply& reply, const std::string& error,
                      const std::string& reason = {}, const Return& to = {});
// X01 and everything that belongs to nobody's client: a page of ours, no Location, nothing to follow, and a
// denied record.
void expect_page(TestServer& server, const Reply& reply, int status, const std::string& reason = {});

// GET /authorize in a browser that was never here.
Reply ask(TestServer& server, const Fields& parameters);
// The next code for a browser; after the first decision the stored consent answers, so it is cheap.
TestServer::Code next_code(TestServer& server, Browser& browser, const std::string& client,
                           const std::string& agent, const std::string& scope,
                           const std::string& resource = kR1, const Decision& decision = {});
// `claims({{"aud", "x"}, {"exp", nullptr}})`: what assertion() changes.
json::Value claims(std::initializer_list<std::pair<std::string_view, json::Value>> members);

}  // namespace behalf::test
