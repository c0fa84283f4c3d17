#include "interop/opcua/handler.h"

#include <charconv>

#include "base/log.h"

namespace penstock::interop::opcua {

Handler::Handler(stream::Shard& shard, SourceStore& sources, Link& link, Metrics& metrics,
                 OnCondition on_condition)
    : shard_(shard),
      sources_(sources),
      link_(link),
      on_condition_(std::move(on_condition)),
      values_(metrics.counter("penstock_opcua_values_total",
                              "Values that the OPC UA connector has delivered")),
      damaged_(metrics.counter("penstock_opcua_damaged_batches_total",
                               "Batches of the OPC UA connector that could not be read")),
      unknown_(metrics.counter("penstock_opcua_unknown_source_total",
                               "Batches of OPC UA sources that are gone")) {}

void mark_lost(stream::Shard& shard, const Source& source, Duration clock_offset) {
  const bool ours = source.document.value("time_from", "source") == "arrival";
  const Timestamp when = ours ? shard.now() : shard.now() + clock_offset;
  for (const Asset& asset : source.assets) shard.lost(source.organisation, asset.device, when);
}

bool Handler::on_message(const mqtt::InboundMessage& message) {
  if (!message.link.empty() || !message.topic.starts_with(kTopicRoot)) return false;
  const std::string_view rest = message.topic.substr(kTopicRoot.size());
  if (rest == "status") {
    for (const auto& lost : link_.on_status(as_text(message.payload), shard_.now()))
      if (const SourcePtr source = sources_.by_id(lost.source))
        mark_lost(shard_, *source, lost.clock_offset);
    return true;
  }
  if (rest == "responses") {
    link_.on_response(as_text(message.payload));
    return true;
  }
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), id);
  if (error != std::errc()) return false;
  const std::string_view kind = rest.substr(static_cast<size_t>(end - rest.data()));
  if (kind != "/values" && kind != "/conditions") return false;
  const SourcePtr source = sources_.by_id(id);
  if (!source) {
    // Deleted while its last values were on the way.
    unknown_.add();
    return true;
  }
  if (kind == "/values") {
    take_values(*source, message.payload);
  } else if (const auto event = parse_json(as_text(message.payload)); event && event->is_object()) {
    on_condition_(source, *event);
  } else {
    damaged_.add();
  }
  return true;
}

void Handler::take_values(const Source& source, ByteView payload) {
  uint64_t count = 0;
  const Status read = reader_.read(
      payload, {}, [&](std::string_view device, std::span<const stream::WireValue> values) {
        count += values.size();
        origin_.assign("opcua:");
        origin_.append(source.name);
        shard_.report({source.organisation, device, origin_, values});
      });
  values_.add(count);
  if (read) return;
  damaged_.add();
  log_warning("opcua", "source {}: {}", source.name, read.error().text());
}

}  // namespace penstock::interop::opcua
