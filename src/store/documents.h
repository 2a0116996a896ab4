// Stored documents: what a row holds beside the columns that statements look at.
#pragma once

#include <string>
#include <string_view>

#include "model/authorization.h"
#include "model/lineage.h"

namespace behalf::store {

std::string write_document(const Node& node);
std::string write_document(const Grant& grant);
std::string write_document(const AuthorizationRequest& request);
std::string write_document(const Session& session);

// Fill in what the document holds; the columns are the caller's. Throw StoreUnavailable if it cannot be read,
// which only damage can cause.
void read_document(std::string_view text, Node& node);
void read_document(std::string_view text, Grant& grant);
void read_document(std::string_view text, AuthorizationRequest& request);
void read_document(std::string_view text, Session& session);

}  // namespace behalf::store
