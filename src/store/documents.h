// Stored documents: what a row holds beside the columns that statements look at.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "model/authorization.h"
#include "model/lineage.h"
#include "model/revocation.h"
#include "model/signal_stream.h"

namespace behalf::store {

// Of what we wrote ourselves.
inline constexpr json::Limits kStoredLimits{.bytes = 1024 * 1024, .depth = 32};

std::string write_document(const Node& node);
std::string write_document(const Grant& grant);
std::string write_document(const AuthorizationRequest& request);
std::string write_document(const Session& session);
std::string write_document(const Revocation& item);
std::string write_document(const SignalStream& stream);

// Fill in what the document holds; the columns are the caller's. Throw StoreUnavailable if it cannot be read,
// which only damage can cause.
void read_document(std::string_view text, Node& node);
void read_document(std::string_view text, Grant& grant);
void read_document(std::string_view text, AuthorizationRequest& request);
void read_document(std::string_view text, Session& session);
void read_document(std::string_view text, Revocation& item);
void read_document(std::string_view text, SignalStream& stream);

}  // namespace behalf::store
