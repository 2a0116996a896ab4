// Forms, cookies and handles: whatever is parsed must come out the same after being written again.
#include <cstdlib>
#include <string_view>

#include "base/uri.h"
#include "http/message.h"
#include "model/scope.h"
#include "oauth/issuance.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace behalf;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto form = http::Form::parse(text)) {
    std::vector<std::pair<std::string, std::string>> fields;
    for (const auto& field : form->fields()) fields.emplace_back(field.name, field.value);
    const auto again = http::Form::parse(http::write_form(fields));
    if (!again || again->fields().size() != fields.size()) std::abort();
    for (size_t i = 0; i < fields.size(); ++i) {
      if (again->fields()[i].name != fields[i].first || again->fields()[i].value != fields[i].second)
        std::abort();
    }
  }
  if (const auto scopes = ScopeSet::parse(text)) {
    if (ScopeSet::parse(scopes->text()) != scopes || !scopes->is_at_most(*scopes)) std::abort();
  }
  for (const std::string_view prefix :
       {oauth::kCodePrefix, oauth::kRefreshTokenPrefix, oauth::kAccessTokenPrefix}) {
    const auto handle = oauth::parse_handle(prefix, text);
    if (handle && oauth::write_handle(prefix, *handle) != text) std::abort();
  }
  http::Request request;
  request.headers.add("Cookie", text);
  (void)request.cookie("behalf_session");
  // What may be registered matches itself; a canonical form is its own canonical form.
  if (is_registrable_redirect(text) && !redirect_matches(text, text)) std::abort();
  if (const auto canonical = canonical_resource(text)) {
    if (canonical_resource(*canonical) != canonical) std::abort();
  }
  return 0;
}
