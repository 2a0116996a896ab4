#include "oauth/form.h"

#include <algorithm>

namespace behalf::oauth {
namespace {

// Microsoft's libraries append a correlation id to the token endpoint's URL. It means nothing here and is not
// read; anything else in a URL ends up in logs, and is refused.
constexpr std::string_view kCorrelationName = "client-request-id";

bool is_correlation_only(std::string_view query) {
  return query.starts_with(kCorrelationName) && query.substr(kCorrelationName.size()).starts_with('=') &&
         query.find('&') == std::string_view::npos;
}

}  // namespace

Answer<http::Form> read_form(const http::Request& request,
                             std::initializer_list<std::string_view> repeatable) {
  constexpr std::string_view kFormType = "application/x-www-form-urlencoded";
  const std::string* type = request.headers.find("Content-Type");
  std::string media = type == nullptr ? std::string{} : type->substr(0, type->find(';'));
  while (media.ends_with(' ')) media.pop_back();
  std::transform(media.begin(), media.end(), media.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (media != kFormType || request.headers.count("Content-Type") != 1) {
    return refuse(ErrorCode::kInvalidRequest, "the body must be application/x-www-form-urlencoded",
                  "content_type");
  }
  if (type->find(';') != std::string::npos) {
    std::string parameters = type->substr(type->find(';'));
    std::transform(parameters.begin(), parameters.end(), parameters.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const size_t charset = parameters.find("charset=");
    if (charset != std::string::npos && parameters.find("utf-8", charset) == std::string::npos) {
      return refuse(ErrorCode::kInvalidRequest, "the body must be UTF-8", "content_type");
    }
  }
  if (!request.query.empty() && !is_correlation_only(request.query)) {
    return refuse(ErrorCode::kInvalidRequest, "parameters belong into the body, not into the URL",
                  "query_parameters");
  }
  auto form = http::Form::parse(request.body);
  if (!form) return refuse(ErrorCode::kInvalidRequest, "the form is not well-formed", "malformed_form");
  if (const auto name = form->repeated(repeatable)) {
    return refuse(ErrorCode::kInvalidRequest, "parameter " + name->substr(0, 60) + " is sent more than once",
                  "repeated_parameter");
  }
  return std::move(*form);
}

std::string correlation_id(const http::Request& request) {
  const std::string* header = request.headers.find(kCorrelationName);
  std::string id = header == nullptr ? std::string{} : *header;
  if (header == nullptr && is_correlation_only(request.query))
    id = request.query.substr(kCorrelationName.size() + 1);
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  const auto fits = [](char c, char shape) {
    const bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    return shape == '-' ? c == '-' : is_hex;
  };
  const bool is_guid = id.size() == kShape.size() && std::equal(id.begin(), id.end(), kShape.begin(), fits);
  return is_guid ? id : std::string{};
}

}  // namespace behalf::oauth
