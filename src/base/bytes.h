// Encodings of bytes as text. Decoders are strict: one text for every byte sequence, or a refusal.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace behalf {

using Digest = std::array<unsigned char, 32>;

inline std::string_view as_text(std::span<const unsigned char> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const unsigned char> as_bytes(std::string_view text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

// base64url without padding (RFC 7515 §2).
std::string base64url(std::string_view bytes);
inline std::string base64url(std::span<const unsigned char> bytes) { return base64url(as_text(bytes)); }
// Refuses padding, other alphabets, white space and unused bits that are set.
std::optional<std::string> decode_base64url(std::string_view text);
// Standard base64 with padding (RFC 4648 §4), for the Basic scheme; as strict.
std::optional<std::string> decode_base64(std::string_view text);
std::string base64(std::string_view bytes);

std::string hex(std::string_view bytes);
inline std::string hex(std::span<const unsigned char> bytes) { return hex(as_text(bytes)); }

// True if the bytes are well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view bytes);

// True if all of it is printable ASCII, the space included.
bool is_printable_ascii(std::string_view text);

// Text from elsewhere on one line of a terminal or a log: what would move the cursor, reorder or hide what
// stands beside it becomes '?'.
std::string one_line(std::string_view text);

}  // namespace behalf
