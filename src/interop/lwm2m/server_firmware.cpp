// Firmware update (Core 1.1.1, appendix E.6): push in blocks or pull from us, then the update, each
// step as the device's State and Update Result tell it.

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "interop/lwm2m/server_impl.h"

namespace penstock::interop::lwm2m {
namespace {

constexpr int64_t kAskEveryUs = 1'000'000;
constexpr int64_t kWholeUs = 3'600'000'000;  // a device that does nothing for an hour has failed

constexpr std::string_view kResults[] = {
    "not begun",
    "firmware updated successfully",
    "not enough flash memory for the package",
    "out of RAM during the download",
    "connection lost during the download",
    "integrity check failed for the package",
    "unsupported package type",
    "invalid URI",
    "the firmware update failed",
    "unsupported protocol of the URI",
    "the update was cancelled",
    "the update was deferred by the device",
};
constexpr std::string_view kStates[] = {"idle", "downloading", "downloaded", "updating"};

std::string_view word(FirmwareJob::Step step) {
  switch (step) {
    case FirmwareJob::Step::kStart:
      return "starting";
    case FirmwareJob::Step::kSending:
      return "sending";
    case FirmwareJob::Step::kDownloading:
      return "downloading";
    case FirmwareJob::Step::kUpdating:
      return "updating";
    case FirmwareJob::Step::kDone:
      return "done";
    case FirmwareJob::Step::kFailed:
      break;
  }
  return "failed";
}

std::string result_words(int result) {
  const auto at = static_cast<size_t>(result);
  return result >= 0 && at < std::size(kResults) ? std::string(kResults[at])
                                                 : fmt::format("result {}", result);
}

}  // namespace

Json Server::Impl::firmware_json(const FirmwareJob& job) const {
  const bool known_state = job.state >= 0 && job.state < 4;
  return {{"step", word(job.step)},
          {"method", job.pull ? "pull" : "push"},
          {"bytes", job.request.package.size()},
          {"bytes_sent", job.sent},
          {"state", known_state ? Json(kStates[static_cast<size_t>(job.state)]) : Json()},
          {"result", job.result >= 0 ? Json(result_words(job.result)) : Json()},
          {"detail", job.detail},
          {"asked_by", job.request.who},
          {"started_at", to_rfc3339(job.started_at)},
          {"done_at", job.done_at.us == 0 ? Json() : Json(to_rfc3339(job.done_at))}};
}

Result<Json> Server::start_firmware(OrganisationId organisation, std::string_view endpoint,
                                    FirmwareRequest request) {
  if (request.package.empty() == request.uri.empty())
    return fail(ErrorCode::kInvalidArgument, "give either the package or a URI");
  if (request.package.size() > impl_->options.firmware_bytes_max)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a package has at most {} bytes", impl_->options.firmware_bytes_max));
  return impl_->ask([impl = impl_.get(), organisation, endpoint = std::string(endpoint),
                     request = std::move(request)]() mutable -> Result<Json> {
    Client* client = impl->find(organisation, endpoint);
    if (client == nullptr)
      return fail(ErrorCode::kNotFound, "no device of that endpoint name is registered", endpoint);
    if (!client->has_object(5))
      return fail(ErrorCode::kUnsupported, "the device has no firmware update object (5)",
                  endpoint);
    if (client->firmware && client->firmware->step < FirmwareJob::Step::kDone)
      return fail(ErrorCode::kConflict, "an update of that device is under way", endpoint);
    client->firmware = std::make_unique<FirmwareJob>();
    FirmwareJob& job = *client->firmware;
    job.request = std::move(request);
    job.started_at = impl->clock.now();
    job.deadline_us = impl->now_us + kWholeUs;
    job.detail = impl->awake(*client) ? "asking the device" : "the device sleeps";
    impl->drive_firmware(*client);
    return impl->firmware_json(job);
  });
}

Result<Json> Server::firmware(OrganisationId organisation, std::string_view endpoint) {
  return impl_->ask(
      [impl = impl_.get(), organisation, endpoint = std::string(endpoint)]() -> Result<Json> {
        const Client* client = impl->find(organisation, endpoint);
        if (client == nullptr || !client->firmware)
          return fail(ErrorCode::kNotFound, "no firmware update of that endpoint is remembered",
                      endpoint);
        return impl->firmware_json(*client->firmware);
      });
}

void Server::Impl::end_firmware(Client& client, bool good, std::string detail) {
  FirmwareJob& job = *client.firmware;
  job.step = good ? FirmwareJob::Step::kDone : FirmwareJob::Step::kFailed;
  job.detail = std::move(detail);
  job.done_at = clock.now();
  job.next_us = INT64_MAX;
  packages.erase(job.token);
  log_info("lwm2m", "firmware of {}: {}", client.endpoint, job.detail);
}

// One step: asks the device how it is, unless an answer is on its way.
void Server::Impl::drive_firmware(Client& client) {
  FirmwareJob& job = *client.firmware;
  if (job.step >= FirmwareJob::Step::kDone) {
    job.next_us = INT64_MAX;
    return;
  }
  job.next_us = now_us + kAskEveryUs;
  if (now_us > job.deadline_us)
    return end_firmware(client, false, "the device did not finish within an hour");
  if (job.asking || !awake(client) || job.step == FirmwareJob::Step::kSending) return;
  ask_firmware(client);
}

void Server::Impl::ask_firmware(Client& client) {
  client.firmware->asking = true;
  messenger->request(
      client.peer, to(client, coap::kGet, Path{5, 0}),
      [this, endpoint = client.endpoint,
       organisation = client.organisation](Result<Response> outcome) {
        Client* there = find(organisation, endpoint);
        if (there == nullptr || !there->firmware) return;
        FirmwareJob& job = *there->firmware;
        job.asking = false;
        if (!outcome) return;  // it may restart; asked again
        std::vector<Entry> read;
        if (!coap::is_success(outcome->code) ||
            !decode_content(outcome->format, as_bytes(outcome->body), Path{5, 0}, *table,
                            options.content, read)) {
          job.detail = "its firmware object was not read: " + coap::code_words(outcome->code);
          return;
        }
        int delivery = 2;
        for (const Entry& entry : read) {
          if (entry.path.depth < 3) continue;
          if (entry.path.resource() == 3) job.state = static_cast<int>(entry.value.integer);
          if (entry.path.resource() == 5) job.result = static_cast<int>(entry.value.integer);
          if (entry.path.resource() == 9) delivery = static_cast<int>(entry.value.integer);
        }
        if (job.step == FirmwareJob::Step::kStart) {
          using Method = FirmwareRequest::Method;
          job.pull = job.request.method == Method::kPull || !job.request.uri.empty() ||
                     (job.request.method == Method::kAuto && delivery == 0);
          return start_download(*there, job);
        }
        judge_firmware(*there, job);
      });
}

void Server::Impl::start_download(Client& client, FirmwareJob& job) {
  const auto again = [this, endpoint = client.endpoint,
                      organisation = client.organisation](Result<Response> outcome) {
    Client* there = find(organisation, endpoint);
    if (there == nullptr || !there->firmware) return;
    FirmwareJob& now = *there->firmware;
    if (!outcome || !coap::is_success(outcome->code))
      return end_firmware(*there, false,
                          "the package was not taken: " +
                              (outcome ? coap::code_words(outcome->code) : outcome.error().text()));
    now.step = FirmwareJob::Step::kDownloading;
    now.next_us = now_us;
  };
  if (!job.pull) {
    coap::Outgoing out = to(client, coap::kPut, Path{5, 0, 0});
    out.add_number(coap::kContentFormat, static_cast<uint32_t>(Format::kOpaque));
    append_bytes(out.payload, as_bytes(job.request.package));
    job.step = FirmwareJob::Step::kSending;
    job.detail = "sending the package";
    return messenger->request(
        client.peer, std::move(out), again,
        [this, endpoint = client.endpoint, organisation = client.organisation](size_t sent) {
          Client* there = find(organisation, endpoint);
          if (there != nullptr && there->firmware) there->firmware->sent = sent;
        });
  }
  std::string uri = job.request.uri;
  if (uri.empty()) {
    job.token = random.hex(16);
    packages[job.token] = std::make_shared<const std::string>(job.request.package);
    const PeerInfo* peer = messenger->peer(client.peer);
    const bool secure = peer != nullptr && is_secure(peer->transport);
    const bool stream = peer != nullptr && is_stream(peer->transport);
    const auto& own = stream ? (secure ? addresses.coaps_tcp : addresses.coap_tcp)
                             : (secure ? addresses.coaps : addresses.coap);
    if (!own) return end_firmware(client, false, "no listener can serve the package");
    uri = fmt::format("coap{}{}://{}/fw/{}", secure ? "s" : "", stream ? "+tcp" : "", own->text(),
                      job.token);
  }
  coap::Outgoing out = to(client, coap::kPut, Path{5, 0, 1});
  out.add_number(coap::kContentFormat, static_cast<uint32_t>(Format::kText));
  append_bytes(out.payload, as_bytes(uri));
  job.step = FirmwareJob::Step::kSending;
  job.detail = "told the device where the package is: " + uri;
  messenger->request(client.peer, std::move(out), again);
}

void Server::Impl::judge_firmware(Client& client, FirmwareJob& job) {
  if (job.result > 1 && job.result != 11 && job.state != 3)
    return end_firmware(client, false, result_words(job.result));
  if (job.step == FirmwareJob::Step::kDownloading) {
    if (job.state < 2) {
      job.detail = "the device downloads";
      return;
    }
    if (!job.request.apply)
      return end_firmware(client, true, "downloaded; the update was not asked for");
    job.step = FirmwareJob::Step::kUpdating;
    job.detail = "the device updates";
    job.asking = true;
    return messenger->request(client.peer, to(client, coap::kPost, Path{5, 0, 2}),
                              [this, endpoint = client.endpoint,
                               organisation = client.organisation](Result<Response> outcome) {
                                Client* there = find(organisation, endpoint);
                                if (there == nullptr || !there->firmware) return;
                                there->firmware->asking = false;
                                there->firmware->triggered = true;
                                // Without an answer it may have restarted already: its result
                                // tells.
                                if (outcome && !coap::is_success(outcome->code))
                                  end_firmware(
                                      *there, false,
                                      "the update was refused: " + coap::code_words(outcome->code));
                              });
  }
  if (!job.triggered) return;
  if (job.result == 1 && job.state == 0) return end_firmware(client, true, result_words(1));
  job.detail = job.result == 11 ? result_words(11) : "the device updates";
}

void Server::Impl::serve_firmware(const IncomingRequest& request) {
  const auto found = packages.find(std::string(request.path.substr(4)));
  if (found == packages.end()) return answer(request.exchange, coap::kNotFound);
  coap::Outgoing out;
  out.code = coap::kContent;
  out.add(coap::kEtag, found->first.substr(0, 8));
  out.add_number(coap::kContentFormat, static_cast<uint32_t>(Format::kOpaque));
  const coap::Block block = request.exchange.block2.value_or(coap::Block{});
  if (Client* client = client_of(request.exchange.peer);
      client != nullptr && client->firmware && client->firmware->token == found->first)
    client->firmware->sent = std::min(found->second->size(), block.offset() + block.size());
  messenger->respond(request.exchange, std::move(out), *found->second);
}

}  // namespace penstock::interop::lwm2m
