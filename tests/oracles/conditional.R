# Conditional models by R: `survival::clogit`; `gnm`, which eliminates people, as programs
# for case series do, and `glm` with a level for every person.
# Usage: Rscript conditional.R FOLDER
options(digits = 17, warn = 1)
suppressPackageStartupMessages({ library(survival); library(splines); library(gnm) })
folder <- commandArgs(trailingOnly = TRUE)[1]
write <- function(frame, name) {
  for (column in names(frame)) {
    if (is.numeric(frame[[column]])) frame[[column]] <- sprintf("%.17g", frame[[column]])
  }
  write.csv(frame, file.path(folder, paste0(name, ".csv")), row.names = FALSE)
}
fits <- list()
keep <- function(name, estimate, se, loglik = NA) {
  fits[[length(fits) + 1]] <<- data.frame(
    fit = name, term = names(estimate), estimate = as.numeric(estimate),
    se = as.numeric(se), loglik = as.numeric(loglik)
  )
}
# Sets of cases alone, or of controls alone, say nothing: exactly so. R's approximations
# let those of cases count, so they are left out first.
matched <- function(name, formula, data, set) {
  rate <- ave(data[[all.vars(formula)[1]]], data[[set]])
  data <- data[rate > 0 & rate < 1, ]
  tight <- coxph.control(eps = 1e-14, iter.max = 100)
  for (method in c("exact", "efron", "breslow")) {
    fit <- suppressWarnings(clogit(formula, data, method = method, control = tight))
    keep(paste(name, method, sep = "_"), coef(fit), sqrt(diag(vcov(fit))), fit$loglik[2])
  }
}

# Infertility after abortion: sets of one case and two controls, then large ones with
# several cases.
infert <- datasets::infert
infert$set <- infert$stratum
infert$large <- paste(infert$education, infert$parity)
infert <- infert[, c("set", "large", "case", "age", "spontaneous", "induced")]
write(infert, "infert")
matched("infert", case ~ spontaneous + induced + strata(set), infert, "set")
matched("infert_large", case ~ spontaneous * induced + age + strata(large), infert, "large")

# Bacteria in children with otitis: several positive and negative visits of a child.
bacteria <- MASS::bacteria
bacteria <- data.frame(child = bacteria$ID, y = as.integer(bacteria$y == "y"), week = bacteria$week,
                       drug = as.character(bacteria$ap))
write(bacteria, "bacteria")
matched("bacteria", y ~ week + strata(child), bacteria, "child")
matched("bacteria_drug", y ~ week + week:I(drug == "p") + strata(child), bacteria, "child")

# Seizures of people with epilepsy in four periods: several events a person.
epil <- MASS::epil
epil$drug <- as.integer(epil$trt == "progabide")
epil <- data.frame(person = epil$subject, events = epil$y, period = epil$period,
                   drug = epil$drug, days = 14 + epil$period)
write(epil, "epil")
made <- read.csv(file.path(folder, "series.csv"))
control <- glm.control(epsilon = 1e-15, maxit = 100)
series <- function(name, formula, data) {
  data <- data[ave(data$events, data$person, FUN = sum) > 0, ]
  data$person <- factor(data$person)
  free <- update(formula, . ~ . - factor(person))
  fit <- gnm(free, eliminate = person, family = poisson, data = data, verbose = FALSE,
             tolerance = 1e-14, iterMax = 500)
  kept <- !is.na(coef(fit))
  keep(paste(name, "gnm", sep = "_"), coef(fit)[kept], sqrt(diag(vcov(fit)))[kept])
  fit <- suppressWarnings(glm(formula, poisson, data, control = control))
  terms <- !grepl("person|Intercept", names(coef(fit))) & !is.na(coef(fit))
  keep(name, coef(fit)[terms], sqrt(diag(vcov(fit)))[terms[!is.na(coef(fit))]])
}
series("epil", events ~ factor(period) + I((period == 4) * drug) + offset(log(days)) + factor(person), epil)
series("made", events ~ exposed + ns(age, knots = c(12, 20), Boundary.knots = c(0, 36)) +
         offset(log(days)) + factor(person), made)
series("made_season", events ~ exposed + sin(2 * pi * age / 36) + cos(2 * pi * age / 36) +
         offset(log(days)) + factor(person), made)
write(do.call(rbind, fits), "conditional")
