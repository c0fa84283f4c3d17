#pragma once
// From DTDL documents to the flat ModelInfo that twins are made of.

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "twin/records.h"

namespace penstock::twin {

/// One interface of a document, as JSON text without white space.
struct ModelDocument {
  std::string dtmi;
  std::string text;
};

/// Divides a document (an interface or an array of them) into its interfaces.
Result<std::vector<ModelDocument>> split_models(std::string_view document, size_t bytes_max);

/// Checks a document against DTDL (docs/dtdl.md), together with the models that it may refer to.
/// The error says what is wrong first, where, how to mend it, and how many more mistakes there are.
Status check_models(std::string_view document, std::span<const ModelDocument> known);

/// Reads all documents of an organisation, checked when they were added, as one graph: references
/// between them must resolve.
Result<std::map<std::string, ModelPtr, std::less<>>> compile_models(
    std::span<const ModelDocument> documents);

}  // namespace penstock::twin
