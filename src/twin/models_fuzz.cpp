// Whatever people post as a model: refused with a reason or made into one whose elements can be
// served; never a crash, an exception or a model without end.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "twin/models.h"
#include "twin/proposal.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace penstock::twin;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parts = split_models(text, 1 << 16);
  (void)check_models(text, {});
  if (parts) {
    const auto models = compile_models(*parts);
    if (models)
      for (const auto& [dtmi, model] : *models) {
        CHECK(model->id == dtmi);
        for (const ElementInfo& element : model->elements)
          CHECK(model->element(element.key) == &element);
        CHECK(split_models(model->document, 1 << 20));
      }
  }
  const std::string payload(text);
  if (const auto proposal = propose_interface(text.substr(0, 20), std::span(&payload, 1))) {
    const auto proposed = split_models(proposal->document, 1 << 24);
    CHECK(proposed && compile_models(*proposed));
    CHECK(check_models(proposal->document, {}));
  }
  return 0;
}
