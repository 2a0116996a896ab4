// Who sits at the browser: two cookies, both opaque, both stored as keyed hashes.
//
//   behalf_browser   binds a stored authorization request to one browser, from its first page to the decision
//   behalf_session   the signed-in person; made anew at every sign-in, so that no one can plant it beforehand
#pragma once

#include <optional>
#include <string>

#include "http/message.h"
#include "model/authorization.h"
#include "oauth/call.h"
#include "store/store.h"

namespace behalf::console {

class Cookies {
 public:
  explicit Cookies(const oauth::Settings& settings) : secure_(settings.secure_cookies) {}
  std::optional<std::string> browser(const http::Request& request) const;
  std::optional<std::string> session(const http::Request& request) const;
  void set_browser(http::Response& response, std::string_view value) const;
  void set_session(http::Response& response, std::string_view value, Seconds lifetime) const;
  void clear_session(http::Response& response) const;

 private:
  std::string name(std::string_view plain) const;
  void set(http::Response& response, std::string_view plain, std::string_view value,
           std::string_view attributes) const;
  bool secure_;
};

// The live session of this cookie, or nothing: unknown, ended, expired, idle too long, or its person no
// longer active.
std::optional<Session> find_session(oauth::Call& call, store::ReadTransaction& transaction,
                                    std::string_view cookie);

struct NewSession {
  Session session;
  std::string cookie;
};
NewSession make_session(oauth::Call& call, const User& user);

// True if a form post comes from our own pages (Fetch Metadata and Origin; the form's own token decides all
// the same).
bool is_from_our_pages(const http::Request& request, const std::string& issuer);

}  // namespace behalf::console
