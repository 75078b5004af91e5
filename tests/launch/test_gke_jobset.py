"""launch/gke_jobset.sh and its two JobSets, against fakes of kubectl, gcloud and docker."""

import signal

import pytest
import yaml

from tests.helpers.fake_programs import AWKWARD, LAUNCH, Fakes, assert_dry_run_is_exact

SCRIPT = LAUNCH / "gke_jobset.sh"
KUBECTL = ["kubectl", "--context=gke_project_us-west4_cluster", "--namespace=default"]
POOLS = ["gcloud", "container", "node-pools"]
CLUSTER = ["--project=project", "--location=us-west4", "--cluster=cluster"]
DELETE = ["delete", "jobset", "island", "--ignore-not-found", "--cascade=foreground"]
SHARED = {
    "NAME": "island",
    "PROJECT": "project",
    "LOCATION": "us-west4",
    "CLUSTER": "cluster",
    "IMAGE": "us-docker.pkg.dev/project/images/ferjax:new",
    "CONFIG": "configs/cbam_island.py",
    "WORKDIR": "gs://bucket/my island",
    "POLL_SECONDS": "0",
}
GPU = SHARED | {"ACCELERATOR": "nvidia-h100-80gb", "NODES": "2", "CHIPS_PER_NODE": "8"}
TPU = SHARED | {
    "ACCELERATOR": "tpu-v5-lite-podslice",
    "TOPOLOGY": "4x4",
    "NODES": "4",
    "CHIPS_PER_NODE": "4",
}
POOL = {"NODE_POOL": "pool", "MACHINE_TYPE": "a3-highgpu-8g"}
STATE = "get jobset island --output=jsonpath"


@pytest.fixture
def fakes(tmp_path):
    """A cluster on which the JobSet completes; what is created is written to jobset.yaml."""
    fakes = Fakes(tmp_path, "kubectl gcloud docker")
    fakes.answer("kubectl", STATE, "echo Completed/0")
    fakes.answer("kubectl", "create", f"cat > {tmp_path}/jobset.yaml")
    fakes.answer("kubectl", "logs", "echo a line of the log")
    yield fakes
    fakes.close()


def created(fakes, *arguments, **variables):
    """The JobSet that the recipe hands to kubectl."""
    done = fakes.run(SCRIPT, *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load((fakes.folder / "jobset.yaml").read_text())


def pod_of(jobset):
    [workers] = jobset["spec"]["replicatedJobs"]
    return workers["template"]["spec"]["template"]["spec"]


def steps(fakes):
    """The verbs of the calls: get-credentials, get, create, logs, rsync, delete, ..."""
    verbs = "get-credentials get create logs rsync delete build push list".split()
    return [
        ("pool " if "node-pools" in call else "") + next(word for word in call if word in verbs)
        for call in fakes.calls()
    ]


COURSE = ["get-credentials", "get", "create", "get", "logs"]


@pytest.mark.parametrize("variables", [GPU, TPU], ids=["gpu", "tpu"])
def test_the_whole_course_and_its_dry_run(fakes, variables):
    done = fakes.run(SCRIPT, "--", AWKWARD, **variables)
    assert done.returncode == 0, done.stderr
    assert steps(fakes) == [*COURSE, "rsync", "delete"]
    assert (fakes.folder / "results/island/island.log").read_text() == "a line of the log\n"
    jobset = (fakes.folder / "jobset.yaml").read_text()
    calls = assert_dry_run_is_exact(fakes, SCRIPT, "--", AWKWARD, **variables)
    assert (fakes.folder / "jobset.yaml").read_text() == jobset
    assert calls[0] == [
        "gcloud", "container", "clusters", "get-credentials", "cluster", *CLUSTER[:2],
    ]  # fmt: skip
    assert calls[2] == [*KUBECTL, "create", "--filename=-"]
    assert calls[4][3:5] == ["logs", "--selector=jobset.sigs.k8s.io/jobset-name=island"]
    assert calls[5][3:] == ["--recursive", "gs://bucket/my island", "results/island/workdir"]
    assert calls[6] == [*KUBECTL, *DELETE]


@pytest.mark.parametrize("variables", [GPU, TPU], ids=["gpu", "tpu"])
def test_a_job_restarts_after_75_and_a_lost_node_and_nothing_else(fakes, variables):
    jobset = created(fakes, **variables, MAX_RESTARTS="7", GRACE_SECONDS="90")
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert jobset["metadata"]["name"] == "island"
    policy = jobset["spec"]["failurePolicy"]
    assert (policy["maxRestarts"], policy["restartStrategy"]) == (7, "BlockingRecreate")
    [rule] = policy["rules"]
    assert rule["action"] == "FailJobSet"
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    [workers] = jobset["spec"]["replicatedJobs"]
    job = workers["template"]["spec"]
    assert (workers["name"], workers["replicas"]) == ("workers", 1)
    assert (job["completionMode"], job["backoffLimit"]) == ("Indexed", 0)
    assert job["completions"] == job["parallelism"] == int(variables["NODES"])
    lost, failed = job["podFailurePolicy"]["rules"]
    assert lost["action"] == "Count"
    assert lost["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert failed["action"] == "FailJob"
    [container] = pod_of(jobset)["containers"]
    codes = {"containerName": container["name"], "operator": "NotIn", "values": [75]}
    assert failed["onExitCodes"] == codes
    assert pod_of(jobset)["restartPolicy"] == "Never"
    assert pod_of(jobset)["terminationGracePeriodSeconds"] == 90


def test_a_gpu_pod(fakes):
    jobset = created(fakes, **GPU)
    assert jobset["spec"]["network"] == {"enableDNSHostnames": True}
    pod = pod_of(jobset)
    [container] = pod["containers"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-accelerator": "nvidia-h100-80gb",
        "cloud.google.com/gke-spot": "true",
    }
    assert container["image"] == GPU["IMAGE"]
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 8}}
    assert container["env"] == [
        {"name": "JAX_COORDINATOR_ADDRESS", "value": "island-workers-0-0.island:8476"},
        {"name": "JAX_NUM_PROCESSES", "value": "2"},
    ]
    assert container["ports"] == [{"containerPort": 8476}]
    assert container["volumeMounts"][0]["name"] == pod["volumes"][0]["name"]


def test_a_tpu_pod(fakes):
    jobset = created(fakes, **TPU, SPOT="0", SERVICE_ACCOUNT="me")
    [(annotation, value)] = jobset["metadata"]["annotations"].items()
    assert annotation == "alpha.jobset.sigs.k8s.io/exclusive-topology"
    assert value == "cloud.google.com/gke-nodepool"
    pod = pod_of(jobset)
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "4x4",
    }
    assert pod["serviceAccountName"] == "me"
    [container] = pod["containers"]
    assert container["resources"] == {"limits": {"google.com/tpu": 4}}


@pytest.mark.parametrize(("variables", "kind"), [(GPU, "kubernetes"), (TPU, "tpu")])
def test_python_gets_the_words_that_were_given(fakes, variables, kind):
    data = {"DATA_DIR": "gs://bucket/da ta", "COMPILATION_CACHE": "gs://bucket/cache"}
    jobset = created(fakes, "--", AWKWARD, "two\nlines\tand\ra \\", **variables, **data)
    [container] = pod_of(jobset)["containers"]
    assert container["command"] == ["python"]
    # Kubernetes makes one $ of two, and would replace $(id).
    arguments = [word.replace("$$", "\0").replace("$(", "!") for word in container["args"]]
    assert [word.replace("\0", "$") for word in arguments] == [
        "-m", "ferjax.main", "--config=configs/cbam_island.py", "--workdir=gs://bucket/my island",
        f"--distributed={kind}", "--config.dataset.data_dir=gs://bucket/da ta",
        "--config.compilation_cache=gs://bucket/cache", AWKWARD, "two\nlines\tand\ra \\",
    ]  # fmt: skip


def test_the_two_jobsets_differ_where_the_hardware_does(fakes):
    def rest(jobset):
        del jobset["metadata"]["annotations"]
        return jobset

    gpu, tpu = created(fakes, **GPU), rest(created(fakes, **(TPU | {"NODES": "2"})))
    for jobset in (gpu, tpu):
        pod = pod_of(jobset)
        for key in ("nodeSelector", "tolerations", "volumes"):
            pod.pop(key, None)
        for key in ("env", "ports", "resources", "volumeMounts", "args"):
            pod["containers"][0].pop(key, None)
    assert gpu == tpu


def test_it_waits_for_the_end(fakes):
    fakes.answer("kubectl", STATE, "echo /", "echo /0", "exit 1", "echo /2", "echo Completed/2")
    done = fakes.run(SCRIPT, **GPU)
    assert done.returncode == 0
    assert steps(fakes).count("get") == 1 + 5
    assert "running, restarts: 2" in done.stderr


@pytest.mark.parametrize(
    ("pods", "code"),
    [
        (["pod-0 75", "pod-1 70", "pod-2 75"], 70),
        (["pod-0 75", "pod-1 75", "pod-2 "], 75),
        (["pod-0 0", "pod-1 137"], 137),
        ([""], 1),
    ],
)
def test_a_failed_jobset_is_reported_and_deleted(fakes, pods, code):
    fakes.answer("kubectl", STATE, "echo Failed/3")
    fakes.answer("kubectl", "get pods", "\n".join(f"echo '{pod}'" for pod in pods))
    done = fakes.run(SCRIPT, **GPU)
    assert done.returncode == code
    assert steps(fakes) == [*COURSE, "get", "delete"]
    assert "JobSet island: Failed" in done.stderr
    if code > 1:
        assert f"ended with exit code {code}" in done.stderr


@pytest.mark.parametrize(
    ("program", "key", "course"),
    [
        ("kubectl", "create", COURSE[:3]),
        ("kubectl", STATE, [*COURSE[:3], *["get"] * 5]),
        ("gcloud", "storage rsync", [*COURSE, "rsync"]),
    ],
)
def test_a_failure_in_any_phase_deletes_what_was_made(fakes, program, key, course):
    fakes.answer(program, key, "exit 9")
    done = fakes.run(SCRIPT, **GPU)
    assert done.returncode == (1 if key == STATE else 9)
    assert steps(fakes) == [*course, "delete"]


@pytest.mark.parametrize("variables", [GPU, TPU], ids=["gpu", "tpu"])
def test_it_builds_the_image_and_makes_the_pool_and_deletes_it(fakes, variables):
    variables = variables | POOL | {"BUILD": "1", "NODE_LOCATIONS": "us-west4-a"}
    done = fakes.run(SCRIPT, **variables)
    assert done.returncode == 0, done.stderr
    made = ["build", "push", "pool list", "pool create"]
    assert steps(fakes) == [*COURSE[:2], *made, *COURSE[2:], "rsync", "delete", "pool delete"]
    calls = assert_dry_run_is_exact(fakes, SCRIPT, **variables)
    gpu = variables["ACCELERATOR"].startswith("nvidia")
    extra = "cuda12" if gpu else "tpu"
    assert calls[2] == [
        "docker", "build", "--platform=linux/amd64", f"--build-arg=EXTRA={extra}",
        f"--tag={variables['IMAGE']}", f"--file={LAUNCH}/Dockerfile", str(LAUNCH.parent),
    ]  # fmt: skip
    hardware = "--tpu-topology=4x4"
    if gpu:
        hardware = "--accelerator=type=nvidia-h100-80gb,count=8,gpu-driver-version=latest"
    assert calls[5] == [
        *POOLS, "create", "pool", *CLUSTER, "--machine-type=a3-highgpu-8g",
        f"--num-nodes={variables['NODES']}", hardware, "--node-locations=us-west4-a", "--spot",
    ]  # fmt: skip
    assert calls[-1] == [*POOLS, "delete", "pool", *CLUSTER, "--quiet"]
    selector = pod_of(yaml.safe_load((fakes.folder / "jobset.yaml").read_text()))["nodeSelector"]
    assert selector["cloud.google.com/gke-nodepool"] == "pool"


@pytest.mark.parametrize(
    ("program", "key", "end"),
    [
        ("docker", "push", ["push"]),
        ("gcloud", "node-pools create", ["pool create", "pool delete"]),
        ("kubectl", "create", ["create", "delete", "pool delete"]),
    ],
)
def test_a_failure_deletes_the_pool_if_it_was_made(fakes, program, key, end):
    fakes.answer(program, key, "exit 9")
    done = fakes.run(SCRIPT, **GPU, **POOL, BUILD="1")
    assert done.returncode == 9
    assert steps(fakes)[-len(end) :] == end


@pytest.mark.parametrize(
    ("program", "key", "last"),
    [("kubectl", "--ignore-not-found --output", "get"), ("gcloud", "node-pools list", "pool list")],
)
def test_what_somebody_else_made_is_left_alone(fakes, program, key, last):
    fakes.answer(program, key, "echo pool or jobset")
    done = fakes.run(SCRIPT, **GPU, **POOL)
    assert done.returncode == 2
    assert "of that name exists" in done.stderr
    assert steps(fakes)[-1] == last


def test_keep_leaves_everything_and_says_how_to_delete_it(fakes):
    done = fakes.run(SCRIPT, **GPU, **POOL, KEEP="1")
    assert done.returncode == 0
    assert not any("delete" in step for step in steps(fakes))
    assert " ".join([*KUBECTL, *DELETE]) in done.stderr
    assert " ".join([*POOLS, "delete", "pool", *CLUSTER]) in done.stderr


def test_a_failed_deletion_is_shouted_about(fakes):
    fakes.answer("kubectl", "delete", "exit 1")
    fakes.answer("gcloud", "node-pools delete", "exit 1")
    fakes.answer("gcloud", "node-pools list", "true", "echo pool")
    done = fakes.run(SCRIPT, **GPU, **POOL)
    assert done.returncode == 1
    assert done.stderr.count("COULD NOT BE DELETED") == 2


def test_a_signal_deletes_the_jobset(fakes):
    fakes.answer("kubectl", STATE, "echo /0")
    # Longer than anything may be idle: a signal is answered during the pause, and not after it.
    process = fakes.start(SCRIPT, **(GPU | {"POLL_SECONDS": "600"}))
    fakes.wait_for(STATE)
    process.send_signal(signal.SIGTERM)
    assert fakes.finish(process).returncode == 143
    assert steps(fakes) == [*COURSE[:4], "delete"]


def test_the_image_gets_the_files_that_it_copies():
    lines = (LAUNCH / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert {"ferjax", "configs", "pyproject.toml"} < set(copied)
    kept = (LAUNCH / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} == {line for line in kept if line.startswith("!")}
    assert all((LAUNCH.parent / name).exists() for name in copied)
