// Reading the parameters of a request once, by the same rules everywhere (RFC 6749 §3.1, §3.2).
#pragma once

#include <initializer_list>
#include <string_view>

#include "http/message.h"
#include "oauth/error.h"

namespace behalf::oauth {

// The body of a POST as a form: right content type, well-formed, nothing sent twice except `repeatable`, and
// no parameters in the URL, where they would be logged.
Answer<http::Form> read_form(const http::Request& request,
                             std::initializer_list<std::string_view> repeatable);

// The id by which Microsoft's libraries find a request again in logs: `client-request-id`, as a header or in
// the URL. Empty unless it is a GUID; nothing else of a caller's is echoed.
std::string correlation_id(const http::Request& request);

}  // namespace behalf::oauth
