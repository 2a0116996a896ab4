// A person at a browser, as far as the story needs one: cookies, redirects, forms that are filled in and
// sent. Reads the server's own pages as they come over the wire; it is no general HTML parser.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/demo/screen.h"

namespace behalf::app {

struct HtmlForm {
  std::string action;
  Parameters fields;  // hidden, ticked and filled-in inputs; no buttons
  std::string get(std::string_view name) const;
  void set(std::string_view name, std::string_view value);
};

// The form that posts to `action`; the one whose `field` is `value`, where several do.
std::optional<HtmlForm> find_form(std::string_view html, std::string_view action, std::string_view field = {},
                                  std::string_view value = {});
// What a person reads between two marks of a page, line by line.
std::vector<std::string> readable_lines(std::string_view html, std::string_view from, std::string_view until);
std::string escape_html(std::string_view text);

class Browser {
 public:
  explicit Browser(std::string origin) : origin_(std::move(origin)) {}

  struct Page {
    int status = 0;
    std::string url;  // where it ended
    std::string html;
    std::string left_for;  // a redirect to another place, not followed
  };
  // Follows redirects within the origin.
  Page get(const std::string& url) { return go("GET", url, {}); }
  Page submit(const HtmlForm& form) { return go("POST", form.action, http_form(form)); }

 private:
  static std::string http_form(const HtmlForm& form);
  Page go(std::string method, std::string url, std::string body);
  std::string origin_;
  std::map<std::string, std::string> cookies_;
};

}  // namespace behalf::app
