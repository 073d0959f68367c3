// NNG's tasks, in place of core/taskq.c: a list per engine instead of threads.
//
// A task is run by whoever holds the lock and needs it done: the loop in its
// turn, a call into NNG before it returns (engine_leave), or a thread that
// waits for a task (nni_task_wait). So closing never depends on a loop that
// is busy, or gone.

#include "../engine/engine_impl.h"

// Each belongs to an engine, which it carries where NNG keeps a task queue.
static engine *task_engine(nni_task *task) { return (engine *)task->task_tq; }

static void task_done(nni_task *task) {
  if (--task->task_busy == 0) {
    nni_plat_cv_wake(&task_engine(task)->changed);
  }
}

static void task_start(nni_task *task) {
  if (task->task_prep) {
    task->task_prep = false;
  } else {
    task->task_busy++;
  }
}

// Whose task this thread is in.
static _Thread_local const engine *running;

bool engine_is_running(const engine *e) { return running == e; }

// Runs the first task.
static void run_task(engine *e) {
  nni_task *task = nni_list_first(&e->tasks);
  const engine *const outer = running;

  running = e;
  nni_list_remove(&e->tasks, task);
  // The task may be freed once it is not busy.
  task->task_cb(task->task_arg);
  task_done(task);
  running = outer;
}

bool engine_run_tasks(engine *e) {
  for (unsigned ran = 0; !nni_list_empty(&e->tasks); ran++) {
    if (ran == ROUND_TASKS || e->moved >= TURN_BYTES) {
      engine_wake(e);
      return true;
    }
    run_task(e);
  }
  return false;
}

void nni_task_exec(nni_task *task) {
  engine_lock *l = task_engine(task)->lock;

  lock_acquire(l);
  task_start(task);
  if (task->task_cb != NULL) {
    task->task_cb(task->task_arg);
  }
  task_done(task);
  lock_release(l);
}

void nni_task_dispatch(nni_task *task) {
  engine *e = task_engine(task);
  engine_lock *l = e->lock;

  if (task->task_cb == NULL) {
    nni_task_exec(task);
    return;
  }
  lock_acquire(l);
  task_start(task);
  nni_list_append(&e->tasks, task);
  // The loop may be blocked in a close that depends on whoever waits for this
  // task, or for one that it leads to: they run it themselves.
  nni_plat_cv_wake(&e->changed);
  engine_wake(e);
  lock_release(l);
}

void nni_task_prep(nni_task *task) {
  engine_lock *l = task_engine(task)->lock;

  lock_acquire(l);
  task->task_busy++;
  task->task_prep = true;
  lock_release(l);
}

void nni_task_abort(nni_task *task) {
  engine_lock *l = task_engine(task)->lock;

  lock_acquire(l);
  if (task->task_prep) {
    task->task_prep = false;
    task_done(task);
  }
  lock_release(l);
}

void nni_task_wait(nni_task *task) {
  engine *e = task_engine(task);
  engine_lock *l = e->lock;

  lock_acquire(l);
  while (task->task_busy > 0) {
    if (!nni_list_empty(&e->tasks)) {
      run_task(e);
    } else {
      nni_plat_cv_wait(&e->changed);
    }
  }
  if (!nni_list_empty(&e->tasks) || !nni_list_empty(&e->pending)) {
    engine_wake(e);  // for what the tasks have left
  }
  lock_release(l);
}

void nni_task_init(nni_task *task, nni_taskq *tq, nni_cb cb, void *arg) {
  engine *e = engine_current();

  NNI_ARG_UNUSED(tq);
  if (e == NULL) {
    nni_panic("a task was made outside of an engine");
  }
  engine_hold(e);
  NNI_LIST_NODE_INIT(&task->task_node);
  task->task_prep = false;
  task->task_busy = 0;
  task->task_cb = cb;
  task->task_arg = arg;
  task->task_tq = (nni_taskq *)e;
}

nni_aio_expire_q *nni_task_expire_q(nni_task *task) {
  return task_engine(task)->expiry;
}

void nni_task_fini(nni_task *task) {
  nni_task_wait(task);
  engine_drop(task_engine(task));
}

// There are no queues to start or stop.

int nni_taskq_init(nni_taskq **tqp, int threads) {
  NNI_ARG_UNUSED(tqp);
  NNI_ARG_UNUSED(threads);
  return NNG_ENOTSUP;
}

void nni_taskq_fini(nni_taskq *tq) { NNI_ARG_UNUSED(tq); }

int nni_taskq_sys_init(void) { return 0; }

void nni_taskq_sys_fini(void) {}

// Nor is there a thread for timers, in place of core/timer.c: nothing that is
// built has any, and what takes a time is an operation (deps/patches/0025).

int nni_timer_sys_init(void) { return 0; }

void nni_timer_sys_fini(void) {}
